"""What is in a run's folder, how far did the run come, and which net and images does it stand for?

May import `data`, `weights`, `nets`, `config` and what is below them.
"""
