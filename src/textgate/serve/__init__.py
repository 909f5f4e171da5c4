"""A released bundle over HTTP: REST service, access, A/B, audit, metrics."""
