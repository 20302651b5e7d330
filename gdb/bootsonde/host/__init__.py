"""Outside GDB: the `bootsonde` command. Starts QEMU and GDB, gives verdicts. Never imports gdb."""
