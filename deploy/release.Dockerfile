# One release as an image: what `registry.py fetch --to FOLDER` left in the build context, on top of the service.
# One digest then names code and model together; Kubernetes rolls it out and back as any other image.
ARG SERVICE

FROM ${SERVICE}
ARG VERSION=unknown
LABEL org.opencontainers.image.version="${VERSION}"
COPY --chmod=755 . /serving/champion
