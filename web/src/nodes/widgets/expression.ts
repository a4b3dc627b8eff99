/** Arithmetic in number fields: `512*2`, `(3+1)/2`, `2^10`. Read by hand; nothing is evaluated as code. */

type Token = number | "+" | "-" | "*" | "/" | "%" | "^" | "(" | ")";

function tokens(text: string): Token[] | null {
  const found: Token[] = [];
  const pattern = /\s*(?:(\d+(?:[.,]\d*)?(?:e[+-]?\d+)?|[.,]\d+)|([-+*/%^()]))/giy;
  let end = 0;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    found.push(match[1] === undefined ? (match[2] as Token) : Number(match[1].replace(",", ".")));
    end = pattern.lastIndex;
  }
  return text.slice(end).trim() === "" && found.length > 0 ? found : null;
}

/** The value of an expression; null if it is none. */
export function evaluate(text: string): number | null {
  const list = tokens(text.replaceAll("×", "*").replaceAll("÷", "/").replaceAll("−", "-").replaceAll("**", "^"));
  if (list === null) return null;
  let at = 0;
  let broken = false;

  function sum(): number {
    let value = product();
    while (list?.[at] === "+" || list?.[at] === "-") value = list[at++] === "+" ? value + product() : value - product();
    return value;
  }

  function product(): number {
    let value = signed();
    for (let sign = list?.[at]; sign === "*" || sign === "/" || sign === "%"; sign = list?.[at]) {
      at += 1;
      const right = signed();
      value = sign === "*" ? value * right : sign === "/" ? value / right : value % right;
    }
    return value;
  }

  function signed(): number {
    const sign = list?.[at];
    if (sign !== "-" && sign !== "+") return power();
    at += 1;
    return sign === "-" ? -signed() : signed();
  }

  function power(): number {
    const base = atom();
    if (list?.[at] !== "^") return base;
    at += 1;
    return base ** signed();
  }

  function atom(): number {
    const token = list?.[at++];
    if (typeof token === "number") return token;
    if (token === "(") {
      const inner = sum();
      if (list?.[at++] !== ")") broken = true;
      return inner;
    }
    broken = true;
    return Number.NaN;
  }

  const value = sum();
  return broken || at !== list.length || !Number.isFinite(value) ? null : value;
}
