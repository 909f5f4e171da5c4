"""The style of report.html: two colour schemes whose text has a contrast of at least 4.5 to 1."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --soft: #59636e; --rule: #d5dae0; --shade: #f4f6f8;
  --blue: #0a4f94; --on-blue: #ffffff; --orange: #b3500b; --grey: #6b7480; --good: #116329; --bad: #b3121d;
  --doubt: #8a4b00; }
@media (prefers-color-scheme: dark) { :root { --paper: #0f1318; --ink: #e8ecf1; --soft: #a3adb9; --rule: #333c47;
  --shade: #191f27; --blue: #84bfff; --on-blue: #0b1016; --orange: #ffab6b; --grey: #97a2af; --good: #63d17f;
  --bad: #ff8f88; --doubt: #f0b35a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto,
  "Noto Sans", sans-serif; overflow-wrap: anywhere; }
main { max-width: 76rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: clamp(1.35rem, 4.5vw, 1.9rem); line-height: 1.25; margin: 0 0 1rem; text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
p, ul { max-width: 46rem; }
ul { padding-left: 1.2rem; }
li { margin: .3rem 0; }
code { font: .9em/1.4 ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; background: var(--shade);
  padding: .1em .3em; border-radius: .25rem; unicode-bidi: isolate; }
.scroll { overflow-x: auto; margin: 1rem 0; border: 1px solid var(--rule); border-radius: .5rem; }
.scroll:focus-visible { outline: 3px solid var(--blue); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .75rem; border-top: 1px solid var(--rule); text-align: left; vertical-align: top;
  overflow-wrap: normal; }
thead th { background: var(--shade); font-weight: 600; vertical-align: bottom; border-top: 0; }
td code { overflow-wrap: anywhere; }
td.txt { min-width: 8rem; }
th.num, td.num { text-align: right; }
td.num { white-space: nowrap; }
td:first-child { font-weight: 600; }
.of { display: none; }
@media (max-width: 40rem) {
  .stacked thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  .stacked, .stacked tbody { display: block; }
  .stacked tr { display: flex; flex-wrap: wrap; gap: .15rem 1.1rem; padding: .6rem .75rem;
    border-top: 1px solid var(--rule); }
  .stacked tbody tr:first-child { border-top: 0; }
  .stacked td, .stacked td.txt, .stacked td.num { display: block; padding: 0; border: 0; min-width: 0;
    text-align: left; white-space: normal; overflow-wrap: anywhere; }
  .stacked td:first-child { flex-basis: 100%; }
  .stacked td:empty { display: none; }
  .stacked .of { display: inline; color: var(--soft); font-size: .8rem; } }
.refused, .worse { color: var(--bad); }
.cannot { color: var(--doubt); }
.better { color: var(--good); }
figure { margin: 1rem 0; max-width: 30rem; }
figcaption { color: var(--soft); font-size: .85rem; margin-top: .4rem; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
svg text { fill: var(--ink); }
svg .cell { fill: var(--blue); stroke: var(--rule); }
svg text.on { fill: var(--on-blue); }
svg .axis, svg .guide { stroke: var(--grey); fill: none; }
svg .guide { stroke-dasharray: 4 3; }
svg .line { fill: none; stroke-width: 2; stroke: var(--blue); }
svg .dot { fill: var(--blue); }
svg .line.champion { stroke: var(--orange); stroke-dasharray: 6 3; }
svg .dot.champion { fill: var(--orange); }
svg .line.baseline { stroke: var(--grey); stroke-dasharray: 2 3; }
svg .dot.baseline { fill: var(--grey); }
svg .bar, svg .point { stroke: var(--soft); stroke-width: 2; fill: var(--paper); }
svg .better { stroke: var(--good); }
svg .worse { stroke: var(--bad); }
svg .point.better { fill: var(--good); }
svg .point.worse { fill: var(--bad); }
@media print { .scroll { overflow: visible; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""
