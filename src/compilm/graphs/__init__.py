"""Graphs: programs that are drawn, paused, resumed, and compiled like any other."""

from .edges import END, Choice
from .graph import Graph
from .maps import Map
from .nodes import Node
from .pauses import Pause, Paused
from .progress import Event
from .runs import Runs

__all__ = ["END", "Choice", "Event", "Graph", "Map", "Node", "Pause", "Paused", "Runs"]
