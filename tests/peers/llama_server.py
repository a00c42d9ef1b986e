"""llama.cpp's server for one model on a free port of loopback. Prints its address; serves until its input ends.

usage: llama_server.py MODEL.gguf NAME CONTEXT [without-tools]
"""

import sys

import xllamacpp

parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.model_alias = {sys.argv[2]}
parameters.n_ctx = int(sys.argv[3])
parameters.n_parallel = 1
parameters.cpuparams.n_threads = 1
parameters.cpuparams_batch.n_threads = 1
parameters.warmup = False
parameters.ui = False
parameters.use_jinja = sys.argv[4:] != ["without-tools"]
server = xllamacpp.Server(parameters)
print("serving at", server.listening_address, flush=True)
sys.stdin.read()
