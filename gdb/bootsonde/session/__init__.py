"""Inside GDB: attach, breakpoints, injection, commands. The only room that imports gdb."""
