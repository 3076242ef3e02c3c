"""Ghostscript rendering generated PostScript: paths, clipped gradients, text in many sizes."""
from . import Launch

NAME = "ghostscript"
WHAT = "gs renders generated PostScript pages at 72 dpi"
NEEDS = ["gs"]

PAGE = """
/seed {seed} def
/random {{ /seed seed 1103515245 mul 12345 add 2147483647 and cvi def seed 65536 div cvi 1000 mod }} bind def
0 1 250 {{ pop
  random 1000 div random 1000 div random 1000 div setrgbcolor
  newpath random 600 mod random 800 mod moveto
  0 1 12 {{ pop random 600 mod random 800 mod random 600 mod random 800 mod random 600 mod random 800 mod curveto }} for
  random 2 mod 0 eq {{ closepath eofill }} {{ random 9 mod setlinewidth stroke }} ifelse
}} for
0 1 400 {{
  random 1000 div setgray
  /Times-Roman findfont random 30 mod 4 add scalefont setfont
  random 500 mod random 780 mod moveto
  20 string cvs (Line of text, number ) show show
}} for
0 1 40 {{ pop
  gsave newpath random 600 mod random 800 mod 80 0 360 arc clip
  << /ShadingType 2 /ColorSpace /DeviceRGB /Coords [0 0 600 800]
     /Function << /FunctionType 2 /Domain [0 1] /C0 [1 0 0] /C1 [0 0 1] /N 1 >> /Extend [true true] >> shfill
  grestore
}} for
showpage
"""


def prepare(folder, divisor):
    pages = max(1, 4 // divisor)
    source = folder / "pages.ps"
    source.write_text("%!PS-Adobe-3.0\n" + "".join(PAGE.format(seed=1000 + page * 77) for page in range(pages)))
    output = folder / "pages.ppm"
    return Launch(["gs", "-q", "-dNOPAUSE", "-dBATCH", "-dSAFER", "-sDEVICE=ppmraw", "-r72",
                   f"-sOutputFile={output}", str(source)], outputs=[output])
