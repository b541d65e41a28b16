"""Policies as layers: each takes an engine pair and is one.

Any `dspy.LM` becomes an engine, layers go around it in the order of design/runtime.md, and the
result is an LM again:

>>> from compilm.engine import stack
>>> from compilm.programs.models import as_engine, role_lm
>>> from compilm.runtime.layers.breaker import Breaker, Circuit
>>> from compilm.runtime.layers.deadline import Deadline, within
>>> from compilm.runtime.layers.fallback import Fallback, Target
>>> from compilm.runtime.layers.retry import Retry
>>> from compilm.runtime.layers.timeout import Timeout
>>> from compilm.testing.engines import scripted_lm
>>> import dspy
>>> first = scripted_lm([dspy.LMServerError(model="first", message="down")], model="a/first")
>>> second = scripted_lm([{"answer": "4"}], model="b/second")
>>> def guarded(lm):
...     return stack(as_engine(lm), Breaker(Circuit(lm.model)), Timeout(45.0))
>>> chain = Fallback([Target("second", guarded(second), model="b/second")])
>>> lm = role_lm(stack(guarded(first), Deadline(60.0), Retry(), chain), like=first)
>>> with dspy.context(lm=lm), within(10.0):
...     dspy.Predict("question -> answer")(question="2+2?").answer
'4'
"""
