"""Graphs: programs that are drawn, paused, resumed, and compiled like any other."""

from .agents import agent
from .edges import END, Choice
from .graph import Graph
from .maps import Map
from .nodes import Node
from .pauses import Pause, Paused
from .progress import Event
from .runs import Runs
from .teams import Member, handoff, supervisor
from .threads import Thread, Threads

__all__ = [
    "END",
    "Choice",
    "Event",
    "Graph",
    "Map",
    "Member",
    "Node",
    "Pause",
    "Paused",
    "Runs",
    "Thread",
    "Threads",
    "agent",
    "handoff",
    "supervisor",
]
