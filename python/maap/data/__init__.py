"""What is a data set, how is it found and read, and how is a net fed from it?

`data.importers` make data sets from published files; `data.find` calls them. May import `config`,
`host`, `images`, `nets`, `util`.
"""
