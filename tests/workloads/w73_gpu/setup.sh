#!/bin/sh
set -e
cd "$(dirname "$0")"; mkdir -p bin truth
gcc -O2 -g -Wall -shared -fPIC -o bin/libcuda.so.1 cuda.c
gcc -O2 -g -Wall -shared -fPIC -o bin/libnvidia-ml.so.1 nvml.c -ldl
"${WL_PYTHON:-python3}" -c "import ctypes"
echo "setup ok: w73_gpu"
