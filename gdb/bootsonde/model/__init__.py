"""Pure data and decoders: no gdb, no processes. Tested without GDB."""
