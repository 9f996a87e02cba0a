"""What a trained network is worth: accuracy on test images, and how well its regions sit.

`evaluation.json`, the file of a run folder that the report reads, is written by `write_evaluation`:

    {"format": 1,
     "data": {"name", "kind", "note", "classes": [names], "train": images, "test": images},
     "chance": 1 / number of classes,
     "phases": [{"phase": "phase1", "title": "after phase 1", "iterations": n, "seconds": s,
                 "count": images, "top1": share, "top5": share,
                 "per_class": [{"class", "count", "top1"}, ...],
                 "confusion": [[images of class i taken for class j]]}, ...],      as trained
     "regions": null or {"n": images with a true box, "images": all of them,
                         "fallbacks": regions that are the whole image for want of another,
                         "mean_iou", "centre_hit", "area_kept": of the regions found,
                         "whole": {the same three for the whole image},
                         "centred_half": {... for a centred box of half the area}},
     "rewrites": [{"phase": "rewrite1", "a_star", "count", "fallbacks", "seconds"}, ...],
     "seconds": {"data": s, "phase1": s, "rewrite1": s, ..., "total": s}}

Shares are 0 to 1. `samples/` beside it holds the example pictures (`save_samples`),
`predictions.csv` a row per test image and phase.
"""
