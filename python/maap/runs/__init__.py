"""What is in a run's folder, and how far did the run come?

May import `config` and what is below it.
"""
