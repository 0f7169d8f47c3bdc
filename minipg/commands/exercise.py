"""`minipg exercise`: derivatives to write oneself, and their check."""

from __future__ import annotations

from pathlib import Path

from minipg.commands.parsing import usage
from minipg.errors import ConfigError, unknown_name

_USAGE = """\
usage: minipg exercise [N] [--solution]

  minipg exercise                   the chapters
  minipg exercise N                 write exercise_NN.py into this folder: two functions without bodies;
                                    if that file is there, check its functions against differences
  minipg exercise N --solution      print the library's own functions that solve it

exercise_NN.py is your file. To check it, minipg executes it, as `python exercise_NN.py` would.
The status is 1 if a function is not right yet."""


def run(args: list[str]) -> int:
    """`minipg exercise [N] [--solution]`. Returns the exit status: 1 if a function is not right yet."""
    if "--help" in args or "-h" in args:
        return usage(_USAGE, True)
    flags, rest = [a for a in args if a.startswith("-")], [a for a in args if not a.startswith("-")]
    if unknown := [flag for flag in flags if flag != "--solution"]:
        raise unknown_name("flag", unknown[0], ["--solution"])
    if len(rest) > 1 or (flags and not rest):
        return usage(_USAGE, False)

    from minipg.exercises import CHAPTERS, EXERCISES
    from minipg.exercises.sheet import ids_of, sheet, solution_text

    if not rest:
        for chapter, title in CHAPTERS.items():
            asked = " ".join(f"{e.name} ({', '.join(ids_of(e))})" for e in EXERCISES[chapter])
            print(f"{chapter:>2}  {title}: {asked}")
        return 0
    if not rest[0].isdecimal() or int(rest[0]) not in CHAPTERS:
        raise ConfigError(f"exercise: expected a chapter from 1 to {max(CHAPTERS)}, got {rest[0]!r}")
    chapter = int(rest[0])
    exercises = EXERCISES[chapter]
    if flags:
        print("\n\n".join(solution_text(exercise) for exercise in exercises))
        return 0
    path = Path(f"exercise_{chapter:02}.py")
    try:
        with path.open("x", encoding="utf-8") as file:  # x: never over a file that is there
            file.write(sheet(chapter, CHAPTERS[chapter], exercises))
    except FileExistsError:
        return _check(path, chapter)
    print(f"{path} has two functions to write: {' and '.join(exercise.name for exercise in exercises)}.")
    print(f"Write their bodies, then run `minipg exercise {chapter}` again: it checks them.")
    return 0


def _check(path: Path, chapter: int) -> int:
    """Check the functions in the reader's file, and print a verdict on each."""
    from minipg.exercises import EXERCISES, Verdict, check_answer
    from minipg.exercises.sheet import functions_in, ids_of

    functions, solved = functions_in(path), True
    for exercise in EXERCISES[chapter]:
        answer = functions.get(exercise.name)
        verdict = check_answer(exercise, answer) if callable(answer) else Verdict(exercise.name, f"not in {path}")
        solved &= not verdict.failure
        print(f"{exercise.name} ({', '.join(ids_of(exercise))}): {verdict.failure or 'passed'}")
        for line in filter(None, verdict.details):
            print("    " + line.replace("\n", "\n    "))
    if not solved:
        print(f"\nThe library's own functions: minipg exercise {chapter} --solution")
    return 0 if solved else 1
