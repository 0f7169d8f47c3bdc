// Every formula of a page, by KaTeX as MathML: the browser draws it with the font of site.css.
const MACROS = { "\\E": "\\mathbb{E}", "\\R": "\\mathbb{R}", "\\KL": "\\operatorname{KL}", "\\Var": "\\operatorname{Var}" };
const DOUBLE_STRUCK = { E: "𝔼", R: "ℝ", P: "ℙ", 1: "𝟙" };

function draw(formula) {
  const text = formula.textContent.trim().replace(/^\\[(\[]/, "").replace(/\\[)\]]$/, "");
  const displayMode = formula.tagName === "DIV";
  katex.render(text, formula, { displayMode, output: "mathml", throwOnError: true, macros: MACROS });
  for (const letter of formula.querySelectorAll('[mathvariant="double-struck"]')) {
    letter.textContent = DOUBLE_STRUCK[letter.textContent] ?? letter.textContent; // browsers know this variant no more
    letter.setAttribute("mathvariant", "normal");
  }
  formula.querySelector("annotation")?.remove();
}

document$.subscribe(() => document.querySelectorAll(".arithmatex").forEach(draw));
