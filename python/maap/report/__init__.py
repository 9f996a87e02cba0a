"""How are runs shown to people: pages, tables, pictures?

May import `measure` and what is below it.
"""
