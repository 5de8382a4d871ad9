//! Jupyter kernels: kernelspecs, environments, processes and the wire.
