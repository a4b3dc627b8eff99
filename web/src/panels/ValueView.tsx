/** A value in words, numbers and a picture. */
import type { ValueDescription } from "@/api/schema.gen";
import { bytes } from "./times";

const KINDS: Record<ValueDescription["kind"], string> = {
  image: "Image",
  mask: "Mask",
  latent: "Latent",
  conditioning: "Conditioning",
  audio: "Audio",
  tensor: "Tensor",
  text: "Text",
  number: "Number",
  boolean: "Boolean",
  model: "Model",
  other: "Value",
};

/** At most four significant digits, without trailing zeros. */
export function short(number: number): string {
  if (!Number.isFinite(number)) return String(number);
  const size = Math.abs(number);
  return size !== 0 && (size >= 1e5 || size < 1e-3) ? number.toExponential(2) : String(Number(number.toPrecision(4)));
}

export function ValueView({ value, picture }: { value: ValueDescription; picture: string | null }) {
  const facts = factsOf(value);
  return (
    <div className="sl-value">
      <div className="sl-value__head">
        <strong>{value.type && value.type !== "*" ? value.type : KINDS[value.kind]}</strong>
        {value.shape && <code>{value.shape.join(" × ")}</code>}
        {!value.shape && value.value !== undefined && <code className="sl-value__number">{String(value.value)}</code>}
      </div>
      {picture && <img className="sl-value__picture" src={picture} alt={value.summary} />}
      {typeof value.text === "string" && (
        <p className="sl-value__text">
          {value.text === "" ? <em>empty text</em> : value.text}
          {value.cut && " …"}
        </p>
      )}
      {facts.length > 0 && (
        <dl className="sl-value__facts">
          {facts.map(([name, fact]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{fact}</dd>
            </div>
          ))}
        </dl>
      )}
      {value.numbers && value.numbers.length > 1 ? <Curve numbers={value.numbers} /> : value.histogram && value.histogram.counts.length > 1 && <Histogram {...value.histogram} />}
      {value.parts && value.parts.length > 0 && (
        <ul className="sl-value__parts">
          {value.parts.slice(0, 8).map(({ name, summary }) => (
            <li key={name}>
              <span>{name}</span> {summary}
            </li>
          ))}
          {value.parts.length > 8 && <li>and {value.parts.length - 8} more</li>}
        </ul>
      )}
    </div>
  );
}

function factsOf(value: ValueDescription): [string, string][] {
  const facts: [string, string][] = [];
  if (value.min !== undefined && value.min !== null && value.max !== undefined && value.max !== null) facts.push(["range", `${short(value.min)} … ${short(value.max)}`]);
  if (value.mean !== undefined && value.mean !== null) facts.push(["mean", `${short(value.mean)} ± ${short(value.std ?? 0)}`]);
  if (value.dtype) facts.push(["type", value.device && value.device !== "cpu" ? `${value.dtype}, ${value.device}` : value.dtype]);
  if (value.shape && value.bytes) facts.push(["size", bytes(value.bytes)]);
  if (value.not_finite) facts.push(["not finite", String(value.not_finite)]);
  return facts;
}

const WIDTH = 232;
const HEIGHT = 44;

function Histogram({ low, high, counts }: { low: number; high: number; counts: readonly number[] }) {
  // Square roots: a picture with a plain background would be one bar and nothing else.
  const most = Math.sqrt(Math.max(...counts, 1));
  const step = WIDTH / counts.length;
  const bars = counts.map((count, index) => {
    const height = (Math.sqrt(count) / most) * HEIGHT;
    return `M${(index * step).toFixed(1)} ${HEIGHT}v${(-height).toFixed(1)}h${(step - 0.5).toFixed(1)}V${HEIGHT}z`;
  });
  return (
    <figure className="sl-value__plot">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`Histogram from ${short(low)} to ${short(high)}`}>
        <path d={bars.join("")} />
      </svg>
      <Ends low={low} high={high} />
    </figure>
  );
}

function Curve({ numbers }: { numbers: readonly number[] }) {
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const y = (number: number) => (high === low ? HEIGHT / 2 : HEIGHT - 2 - ((number - low) / (high - low)) * (HEIGHT - 4));
  const points = numbers.map((number, index) => `${((index / (numbers.length - 1)) * WIDTH).toFixed(1)},${y(number).toFixed(1)}`);
  return (
    <figure className="sl-value__plot is-curve">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${numbers.length} numbers from ${short(numbers[0] ?? 0)} to ${short(numbers.at(-1) ?? 0)}`}>
        <polyline points={points.join(" ")} />
      </svg>
      <Ends low={numbers[0] ?? 0} high={numbers.at(-1) ?? 0} />
    </figure>
  );
}

function Ends({ low, high }: { low: number; high: number }) {
  return (
    <figcaption>
      <span>{short(low)}</span>
      <span>{short(high)}</span>
    </figcaption>
  );
}
