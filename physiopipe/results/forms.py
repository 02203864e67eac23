"""Table 1 in its forms: Markdown, LaTeX (booktabs) and HTML, all of one `Typeset`."""

import html
from collections.abc import Callable

from physiopipe.results.layout import Block, Typeset


def as_markdown(table: Typeset) -> str:
    """Markdown: bold best, underlined second; one table a block."""
    look: dict[str, Callable[[str], str]] = {"best": "**{}**".format, "second": "<u>{}</u>".format, "": str}
    lines = ["# Table 1", "", table.caption, ""]
    for block in table.blocks:
        heads = [
            " ".join(part for part in (group, head) if part) for group, columns in block.groups for head in columns
        ]
        lines += [f"## {block.title}", "", "| " + " | ".join(["Method", *heads]) + " |"]
        lines.append("| :--- |" + " ---: |" * len(heads))
        for row in block.rows:
            title = row.title + (f"<sup>{','.join(map(str, row.notes))}</sup>" if row.notes else "")
            lines.append("| " + " | ".join([title, *(look[cell.rank](cell.text) for cell in row.cells)]) + " |")
        lines.append("")
    lines += [f"**{caveat}**\n" for caveat in table.caveats]
    lines += [f"{i}. {note}" for i, note in enumerate(table.notes, 1)]
    return "\n".join(lines) + "\n"


def as_latex(table: Typeset, cohort: str) -> str:
    """LaTeX for `\\input`: needs the package booktabs alone."""
    look: dict[str, Callable[[str], str]] = {
        "best": r"\textbf{{{}}}".format,
        "second": r"\underline{{{}}}".format,
        "": str,
    }
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}[t]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{_tex(table.caption)}}}",
        rf"\label{{tab:{cohort}}}",
    ]
    for block in table.blocks:
        width = sum(len(columns) for _, columns in block.groups)
        lines += [rf"\begin{{tabular}}{{@{{}}l{'r' * width}@{{}}}}", r"\toprule"]
        lines += [rf"\multicolumn{{{width + 1}}}{{@{{}}l}}{{\textit{{{_tex(block.title)}}}}} \\", r"\midrule"]
        spans, rules, at = [], [], 2
        for group, columns in block.groups:
            spans.append(rf"\multicolumn{{{len(columns)}}}{{c}}{{{_tex(group)}}}" if len(columns) > 1 else _tex(group))
            rules.append(rf"\cmidrule(lr){{{at}-{at + len(columns) - 1}}}")
            at += len(columns)
        lines.append(" & ".join(["Method", *spans]) + r" \\")
        if width > len(block.groups):
            lines += ["".join(rules), " & ".join(["", *(_tex(h) for _, hs in block.groups for h in hs)]) + r" \\"]
        lines.append(r"\midrule")
        for row in block.rows:
            title = _tex(row.title) + (rf"\textsuperscript{{{','.join(map(str, row.notes))}}}" if row.notes else "")
            lines.append(" & ".join([title, *(look[cell.rank](_tex(cell.text)) for cell in row.cells)]) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", "", r"\medskip", ""]
    lines += [r"\begin{minipage}{\linewidth}\scriptsize", *(rf"{_tex(caveat)}\par" for caveat in table.caveats)]
    lines += [rf"\textsuperscript{{{i}}}\,{_tex(note)}\par" for i, note in enumerate(table.notes, 1)]
    return "\n".join([*lines, r"\end{minipage}", r"\end{table}"]) + "\n"


def as_html(block: Block) -> str:
    """HTML of one block without styles of its own, text escaped; it scrolls sideways where the screen is narrow."""
    look: dict[str, Callable[[str], str]] = {"best": "<b>{}</b>".format, "second": "<u>{}</u>".format, "": str}
    one_line = all(columns == ("",) for _, columns in block.groups)
    span = "" if one_line else ' rowspan="2"'
    parts = [f'<h4>{html.escape(block.title)}</h4><div class="wide"><table class="table1"><thead><tr>']
    parts.append(f"<th{span}>Method</th>")
    parts += [f'<th colspan="{len(columns)}">{html.escape(group)}</th>' for group, columns in block.groups]
    heads = "" if one_line else "<tr>" + "".join(f"<th>{html.escape(h)}</th>" for _, hs in block.groups for h in hs)
    parts.append(f"</tr>{heads and heads + '</tr>'}</thead><tbody>")
    for row in block.rows:
        marks = f"<sup>{','.join(map(str, row.notes))}</sup>" if row.notes else ""
        cells = "".join(f"<td>{look[cell.rank](html.escape(cell.text))}</td>" for cell in row.cells)
        parts.append(f"<tr><th>{html.escape(row.title)}{marks}</th>{cells}</tr>")
    parts.append("</tbody></table></div>")
    return "".join(parts)


def _tex(text: str) -> str:
    for plain, escaped in (("\\", r"\textbackslash{}"), ("&", r"\&"), ("%", r"\%"), ("#", r"\#"), ("_", r"\_"),
                           ("–", "--"), ("~", r"\textasciitilde{}")):  # fmt: skip
        text = text.replace(plain, escaped)
    return text
