# docker build -t idtd .                      # for CPUs
# docker build -t idtd:cuda --build-arg BASE=pytorch/pytorch:2.9.1-cuda12.8-cudnn9-runtime .
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" idtd reproduce demo demo
ARG BASE=python:3.12-slim
FROM ${BASE}
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# A base whose Python belongs to its system refuses pip without the first of these.
ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_CACHE_DIR=1
# UCF101 and HMDB51 come as rar archives.
RUN apt-get update && apt-get install --yes --no-install-recommends unar && rm -rf /var/lib/apt/lists/*
COPY . /src
# Of a base that brings torch, that torch is kept: it is the one for its CUDA. Else it is PyTorch's build for CPUs, since PyPI's
# brings several GB of CUDA.
RUN python3 -m pip show --quiet torch || python3 -m pip install --constraint /src/constraints.txt --index-url "${TORCH_INDEX}" torch
RUN sed -i "/^torch==/d" /src/constraints.txt && python3 -m pip install --constraint /src/constraints.txt /src && rm -rf /src
# Whoever it is run as owns what it writes into /data, and has a place for caches.
RUN useradd --create-home idtd && chmod 1777 /home/idtd && install --directory --mode 1777 /data
USER idtd
ENV HOME=/home/idtd
WORKDIR /data
ENTRYPOINT ["idtd"]
