import { Icon } from "@/app/ui";
import { scrollsWhenFocused } from "../../scrolling";
import type { BoxKind, Told } from "./boxes";

interface BoxFieldsProps {
  readonly number: number;
  readonly told: Told;
  readonly onChange: (told: Told) => void;
  readonly onDone: () => void;
  readonly onRemove: () => void;
}

const HEX = /^#[\da-f]{6}$/i;

/** What is said of one box: its type, lettering, description and colours. */
export function BoxFields({ number, told, onChange, onDone, onRemove }: BoxFieldsProps) {
  const paint = (palette: readonly string[]): void => onChange({ ...told, palette });
  return (
    <div className="sl-box-fields" onBlur={onDone}>
      <div className="sl-box-line">
        <span>{number}</span>
        <select aria-label="Type of the box" value={told.type} onChange={(event) => onChange({ ...told, type: event.target.value as BoxKind })}>
          <option value="obj">object</option>
          <option value="text">text</option>
        </select>
        {told.palette.map((color, index) => (
          <span key={index} className="sl-box-color">
            <input type="color" aria-label={`Colour ${index + 1}`} value={HEX.test(color) ? color : "#000000"} onChange={(event) => paint(told.palette.map((one, other) => (other === index ? event.target.value : one)))} />
            <button type="button" aria-label={`Remove colour ${index + 1}`} onClick={() => paint(told.palette.filter((_, other) => other !== index))}>
              ×
            </button>
          </span>
        ))}
        <button type="button" className="sl-widget-button" aria-label="Add a colour" onClick={() => paint([...told.palette, "#ffffff"])}>
          <Icon name="plus" size={11} />
        </button>
        <button type="button" className="sl-widget-button sl-box-remove" aria-label="Remove the box" onClick={onRemove}>
          <Icon name="trash" size={11} />
        </button>
      </div>
      {told.type === "text" && <input aria-label="Lettering" placeholder="Lettering" value={told.text} onChange={(event) => onChange({ ...told, text: event.target.value })} />}
      <textarea aria-label="Description" placeholder="What is there" rows={2} value={told.desc} onChange={(event) => onChange({ ...told, desc: event.target.value })} {...scrollsWhenFocused} />
    </div>
  );
}
