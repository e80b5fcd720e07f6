"""Files that hold results: written whole or not at all, and a table renewed within a document."""
import json
import os


def write_json(path, results):
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    os.replace(path + ".part", path)


def write_markdown(path, head, sections):
    """`sections`: titles and their lines."""
    lines = [*head, ""]
    for title, rows in sections:
        lines += ["## " + title, "", *rows, ""]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines[:-1]) + "\n")


def renew(path, begin, end, table):
    """Puts a table between the two marks of a document that has them."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if begin in text and end in text:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text[:text.index(begin)] + "\n".join([begin, *table, end]) + text[text.index(end) + len(end):])
