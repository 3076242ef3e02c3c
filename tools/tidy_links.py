"""Links between the repository's documents: each leads somewhere, and each page of docs/ is linked from some other."""
import re

LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
HEADING = re.compile(r"^#+\s+(.*?)\s*#*$", re.MULTILINE)


def blank(found):
    return "\n" * found.group(0).count("\n")


def anchors(text):
    """The anchors that a page's headings get where such pages are read."""
    found = set()
    for heading in HEADING.findall(FENCE.sub(blank, text)):
        plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)).lower().replace(" ", "-")
        found.add(plain)
    return found


def check_link(root, page, line, target, pages):
    """One violation, or none; counts the page that the link leads to."""
    name, _, anchor = target.partition("#")
    path = (page.parent / name).resolve() if name else page
    if not path.exists():
        return f"{page.relative_to(root)}:{line}: there is no {name}"
    if path.suffix == ".md":
        if path != page:
            pages.add(path)
        if anchor and anchor not in anchors(path.read_text()):
            return f"{page.relative_to(root)}:{line}: {name or page.name} has no heading #{anchor}"
    return None


def check_links(root, markdown):
    violations, linked = [], set()
    for page in markdown:
        text = page.read_text()
        text = CODE.sub(" ", FENCE.sub(blank, text))
        for found in LINK.finditer(text):
            target = found.group(1)
            if re.match(r"[a-z]+:", target):
                continue
            violation = check_link(root, page, text.count("\n", 0, found.start()) + 1, target, linked)
            if violation:
                violations.append(violation)
    for page in markdown:
        inside = page.relative_to(root).parts
        if inside[0] == "docs" and page not in linked:
            violations.append(f"{page.relative_to(root)}:1: no other document links to it")
    return violations
