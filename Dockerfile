# physiopipe with both engines and all methods; VERSION is what `physiopipe --version` says. On an Nvidia GPU:
#   docker build -t physiopipe:VERSION .                      and run it with --gpus all
# On CPUs alone, a much smaller image:
#   docker build -t physiopipe:VERSION --build-arg PIP_ARGS="--extra-index-url <index of CPU builds>" .
# A study in this folder:
#   docker run --rm -v "$PWD:/study" --user "$(id -u):$(id -g)" physiopipe:VERSION dvc repro
FROM python:3.11-slim AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
# Without it: PyPI's ordinary build of torch, which carries CUDA
ARG PIP_ARGS=""
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*
COPY constraints.txt /tmp/constraints.txt
COPY --from=wheel /wheels /wheels
# hadolint ignore=SC2086
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt ${PIP_ARGS} "$(echo /wheels/physiopipe-*.whl)[workflow,methods]" \
    && physiopipe --version \
    && snakemake --version \
    && dvc --version
# Caches of libraries go where any user may write, DVC asks for the name of a user whom the image does not know, and
# arrays are small, so many threads would wait for one another
ENV HOME=/tmp USER=physiopipe MPLCONFIGDIR=/tmp/matplotlib OPENBLAS_NUM_THREADS=1
WORKDIR /study
CMD ["physiopipe", "--help"]
