"""The style of every page and snippet: one sheet, light and dark, for screen and paper."""

from __future__ import annotations

__all__ = ["PAGE", "PARTS"]

_LIGHT = "--cm-best:#2f6fde;--cm-good:#1a8a5a;--cm-bad:#c8453b;--cm-warn:#9a6700"
_DARK = "--cm-best:#79a9ff;--cm-good:#4cc38a;--cm-bad:#ff8a7a;--cm-warn:#e2b340"

# What the snippets of a notebook and the page have in common; every rule lives under `.cm`.
PARTS = f"""
.cm{{{_LIGHT};line-height:1.55}}
@media (prefers-color-scheme:dark){{.cm{{{_DARK}}}}}
[data-jp-theme-light="true"] .cm{{{_LIGHT}}}
[data-jp-theme-light="false"] .cm,.vscode-dark .cm{{{_DARK}}}
.cm ins{{text-decoration:none;background:color-mix(in srgb,var(--cm-good) 22%,transparent);
border-radius:3px}}
.cm del{{background:color-mix(in srgb,var(--cm-bad) 20%,transparent);border-radius:3px}}
.cm .cm-diff{{white-space:pre-wrap;overflow-wrap:anywhere;padding:10px 14px;border-radius:8px;
background:color-mix(in srgb,currentColor 5%,transparent);
font:13px/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}}
.cm .cm-label{{font-size:12px;opacity:.7;margin:12px 0 4px}}
.cm .cm-wide{{overflow-x:auto}}
.cm table{{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}}
.cm th,.cm td{{padding:6px 10px 6px 0;text-align:left;vertical-align:top;
border-bottom:1px solid color-mix(in srgb,currentColor 12%,transparent);overflow-wrap:break-word}}
.cm .cm-wide table{{min-width:600px}}
.cm td:first-child{{white-space:nowrap}}
.cm th{{font-weight:600;font-size:12px;opacity:.7;white-space:nowrap}}
.cm td.num,.cm th.num{{text-align:right;white-space:nowrap}}
.cm td.num+td:not(.num),.cm th.num+th:not(.num){{padding-left:14px}}
.cm td:first-child{{min-width:3em}}
.cm .cm-ins td:first-child{{color:var(--cm-good);font-weight:700}}
.cm .cm-del td:first-child{{color:var(--cm-bad);font-weight:700}}
.cm .cm-del td{{opacity:.7}}
.cm .good{{color:var(--cm-good)}}.cm .bad{{color:var(--cm-bad)}}.cm .mute{{opacity:.65}}
.cm .best td{{font-weight:600}}
.cm .cm-badge{{display:inline-block;padding:1px 10px;border-radius:99px;font-size:13px;
font-weight:600;border:1px solid currentColor;white-space:nowrap}}
.cm .proven{{color:var(--cm-good)}}.cm .likely{{color:var(--cm-best)}}
.cm .unproven,.cm .no-headroom,.cm .unfinished{{color:var(--cm-warn)}}
.cm details{{margin:14px 0}}
.cm summary{{cursor:pointer;font-weight:600}}
.cm .cm-notice{{border-left:3px solid var(--cm-warn);padding:6px 12px;margin:12px 0;
background:color-mix(in srgb,var(--cm-warn) 10%,transparent);border-radius:0 6px 6px 0}}
.cm .cm-bar{{height:8px;border-radius:4px;overflow:hidden;
background:color-mix(in srgb,currentColor 12%,transparent)}}
.cm .cm-bar i{{display:block;height:100%;background:var(--cm-best)}}
"""

# What only the page has.
PAGE = """
:root{color-scheme:light dark}
body{margin:0;background:#fff;color:#1c2330;
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:720px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:30px;line-height:1.2;margin:4px 0 14px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:19px;margin:44px 0 4px;padding-top:20px;
border-top:1px solid color-mix(in srgb,currentColor 14%,transparent)}
h3{font-size:15px;margin:22px 0 4px}
p{margin:8px 0}
code{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.eyebrow{font-size:12px;letter-spacing:.08em;text-transform:uppercase;opacity:.6}
.lead{font-size:18px;line-height:1.5;max-width:44em;margin:10px 0}
.why{opacity:.75;max-width:46em;margin:4px 0 0}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(120px,1fr));gap:12px;
margin:12px 0 0}
.figures.first{margin-top:26px}.figures.first b{font-size:28px}
.figures div{border:1px solid color-mix(in srgb,currentColor 14%,transparent);border-radius:10px;
padding:12px 14px}
.figures b{display:block;font-size:19px;line-height:1.25;font-variant-numeric:tabular-nums}
.figures span{font-size:12px;opacity:.7}
.figure{margin:18px 0 0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:12px 0;font-size:14px}
dt{opacity:.65}dd{margin:0;overflow-wrap:anywhere}
footer{margin-top:48px;font-size:12px;opacity:.6}
@media (prefers-color-scheme:dark){body{background:#14171d;color:#e4e7ec}}
@media (max-width:560px){main{padding:24px 16px 48px}h1{font-size:25px}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}}
@media print{body{background:#fff;color:#000;font-size:12px}main{max-width:none;padding:0}
h2{break-after:avoid}tr,svg,.figures div{break-inside:avoid}
details::details-content{content-visibility:visible;block-size:auto}}
"""
