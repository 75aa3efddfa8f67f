# Kernels: one folder an instruction set, each file with the flags of its set.
entrollm_layer(kernels DEPENDS entrollm_coder)
