# docker build -t idtd .
# docker build -t idtd:cuda --build-arg BASE=pytorch/pytorch:2.9.1-cuda12.8-cudnn9-runtime .
# docker run --rm -v "$PWD:/data" idtd reproduce demo /data/demo
ARG BASE=python:3.12-slim
FROM ${BASE}
COPY . /src
# Of a base that brings torch, that torch is kept: it is the one for its CUDA.
RUN pip install --no-cache-dir /src && rm -rf /src
RUN useradd --create-home idtd
USER idtd
WORKDIR /data
ENTRYPOINT ["idtd"]
