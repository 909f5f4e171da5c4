"""LitServe with its batching. `litserve_app.py KIND PORT BATCH WAIT_SECONDS WORKERS`."""

# ruff: noqa: INP001, ANN001, ANN201, ARG002, D102 - as its documentation shows it

import sys

import litserve
from classify import KINDS, THREADS, Onnx

KIND, PORT, BATCH, WAIT, WORKERS = sys.argv[1], *map(float, sys.argv[2:])


class Api(litserve.LitAPI):
    """One text a request."""

    def setup(self, device):
        self.model = Onnx(max(1, THREADS // int(WORKERS))) if KIND == "onnx" else KINDS[KIND]()

    def decode_request(self, request):
        return request["text"]

    def predict(self, texts):
        return self.model(texts) if isinstance(texts, list) else self.model([texts])[0]

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    api = Api(max_batch_size=int(BATCH), batch_timeout=WAIT)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(WORKERS), fast_queue=True)
    server.run(host="127.0.0.1", port=int(PORT), generate_client_file=False, log_level="warning", access_log=False)
