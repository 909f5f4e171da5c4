"""The jobs of a run and the comments of a thread, as GitHub gives them."""

from tests.github_api import SHA

from textgate.github.jobs import NEEDED, Job, Step

PASSED = "### textgate passed this model: every check holds"


def jobs(**ended):
    """Return the jobs of ci, all well but for those named: a conclusion, or (conclusion, step, its conclusion)."""
    made = []
    for name in NEEDED:
        how = ended.get(name, "success")
        conclusion, *step = how if isinstance(how, tuple) else (how,)
        steps = [Step(name="Set up job", conclusion="success")]
        if step:
            steps += [Step(name=step[0], conclusion=step[1]), Step(name="Run last", conclusion="failure")]
        made.append(Job(name=name, conclusion=conclusion, steps=tuple(steps)))
    return tuple(made)


def first(text):
    return text.partition("\n")[0]


def mark(name):
    return f'text\n\n![](https://cml.dev/watermark.png#{SHA} "CML watermark {name}")'
