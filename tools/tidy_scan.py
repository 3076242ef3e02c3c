"""A scanner for C++ that knows enough to tell where functions begin and end: comments, literals and braces."""
import re

# In this order: whichever begins first swallows the others. Line breaks inside are kept, so that lines still count.
TOKENS = re.compile(
    r"//[^\n]*"
    r"|/\*.*?\*/"
    r'|R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'",
    re.DOTALL,
)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.)*", re.MULTILINE | re.DOTALL)
SCOPE = re.compile(r"\b(namespace|class|struct|union|enum)\b")
PARENTHESES = re.compile(r"\((?:[^()]|\([^()]*\))*\)")
MEMBER_INITIALISER = re.compile(r"\)[^()]*(?<!:):(?!:).*[\w>]\s*$", re.DOTALL)
NAME = re.compile(r"(operator\s*[^\s(\w]+|[~\w:]+)\s*\(")


def blank(found):
    return "\n" * found.group(0).count("\n") or " "


def strip(text):
    """The text without comments, literals and preprocessor lines; as many lines as before."""
    return DIRECTIVE.sub(blank, TOKENS.sub(blank, text))


def kind_of(head):
    """What a brace opens that stands outside of any function: "scope", "function" or "value"."""
    if head.count("(") > head.count(")"):  # a default argument
        return "value"
    bare = PARENTHESES.sub("()", head)
    if MEMBER_INITIALISER.search(bare) or "=" in re.sub(r"operator\s*\S+|[<>=!]=", "", bare):
        return "value"
    if SCOPE.search(re.sub(r"<[^<>]*>", "", bare)) and not bare.rstrip().endswith(")"):
        return "scope"
    if re.search(r"\bextern\s*$", bare):
        return "scope"
    return "function" if "(" in head else "value"


def functions(text):
    """[(name, line, length in lines)] of the functions that are defined in the text, class members among them."""
    text = strip(text)
    found, stack = [], []
    start, line = 0, 1
    for index, letter in enumerate(text):
        if letter == "\n":
            line += 1
        elif letter == ";":
            start = index + 1
        elif letter == "{":
            head = text[start:index]
            inside = any(kind in ("function", "value") for kind, _, _ in stack)
            kind = "block" if inside else kind_of(head)
            name = NAME.search(head)
            begin = line - head.lstrip().count("\n")
            stack.append((kind, name.group(1) if name else "function", begin))
            start = start if kind == "value" else index + 1  # what stands before a value goes on after it
        elif letter == "}" and stack:
            kind, name, begin = stack.pop()
            if kind == "function":
                found.append((name, begin, line - begin + 1))
            start = start if kind == "value" else index + 1
    return found
