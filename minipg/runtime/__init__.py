"""What every program needs and no equation names: backends, threads, compiling, progress, storage, signals."""
