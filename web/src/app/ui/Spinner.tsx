/** Something is under way. With a label it is announced; without, the carrier says so itself. */
export function Spinner({ size = 16, label }: { size?: number; label?: string }) {
  return (
    <span className="sl-spinner" style={{ width: size, height: size }} role={label ? "status" : undefined}>
      {label && <span className="sl-visually-hidden">{label}</span>}
    </span>
  );
}
