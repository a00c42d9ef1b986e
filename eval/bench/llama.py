"""Runs llama.cpp's server on a GGUF file for `make bench ARGS=--peers`: prints one line of JSON with its address and
how long it took to load, then serves until its input ends."""

import json
import sys
import time

import xllamacpp

file, threads, context = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
params = xllamacpp.CommonParams()
params.model.path = file
params.n_ctx = context
params.n_parallel = 1
params.cpuparams.n_threads = threads
params.cpuparams_batch.n_threads = threads
params.port = 0
params.n_gpu_layers = 0
begun = time.monotonic()
server = xllamacpp.Server(params)
loaded = time.monotonic() - begun
print(json.dumps({"address": server.listening_address, "loaded_s": loaded}), flush=True)
sys.stdin.read()
