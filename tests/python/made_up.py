"""An evaluation that nothing measured, for tests of those who read evaluations."""

from maap.runs.evaluation import DataFacts, Evaluation, PhaseRegions, PhaseResult, RegionFigures


def evaluation(top1s, iterations=7, mean_iou=0.345, top5=0.9):
    """Accuracies after each phase, and the quality of phase 1's regions."""
    data = DataFacts("birds", "folder", "a note", list("abcd"), [64, 64], train=800, test=400)
    phases = [
        PhaseResult(
            f"phase{n}", f"after phase {n}", iterations, 2.0, 1, 400, top1, top5, [], [], None
        )
        for n, top1 in enumerate(top1s, 1)
    ]
    whole = RegionFigures(0.3, 1.0, 1.0)
    figures = (400, 0, 400, mean_iou, 0.5, 0.25, RegionFigures(1.0, 1.0, 0.25), whole, whole)
    regions = [PhaseRegions("phase1", "after phase 1", *figures)]
    return Evaluation(1, data, 0.25, phases, regions, [], None, {"total": 4.0})
