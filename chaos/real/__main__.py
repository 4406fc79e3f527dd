"""`python -m chaos.real PIPE`: the process that children are forked from."""

import gc
import logging
import sys
from multiprocessing.connection import Connection

from chaos.matrix import plan_of_matrix
from chaos.real.nursery import serve
from domain import calendar
from domain.pricing.__main__ import compile_all
from tasks.context import LOGGER

logging.getLogger(LOGGER).setLevel(logging.CRITICAL)
# What every fresh process does at first is done once for all children.
compile_all()
calendar.session(plan_of_matrix().scene.day)
gc.freeze()
serve(Connection(int(sys.argv[1])))
