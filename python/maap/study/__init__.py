"""What does a study need, what came out, and is a difference one?

A study is a YAML file (`reading`): parts with rows of settings. The paper's tables are studies,
too (``studies/``). May import `training` and what is below it.
"""
