import sys; sys.path.insert(0,'/work/main/gdb')
from bootsonde import *
scenario = Scenario('')
import os
for m in os.environ['MN'].split(): scenario.at(Insn(m))
scenario.start()
