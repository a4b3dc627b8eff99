import { themeColor } from "@/theme/theme";
import { socketToken } from "@/theme/sockets";
import type { SideBox } from "../sides";
import { roundRect } from "./groups";
import type { Picture } from "./painter";

/** The borders of a subgraph, with one free slot that publishes what is linked to it. */
export function drawSides(context: CanvasRenderingContext2D, picture: Picture): void {
  for (const side of picture.scene.sides) drawSide(context, side);
}

function drawSide(context: CanvasRenderingContext2D, side: SideBox): void {
  const { x, y, width, height } = side.box;
  context.fillStyle = themeColor("--bg-panel");
  context.strokeStyle = themeColor("--border-strong");
  context.lineWidth = 1;
  roundRect(context, x, y, width, height, 10);
  context.fill();
  context.stroke();
  context.textBaseline = "middle";
  context.fillStyle = themeColor("--text-muted");
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillText(side.side === "input" ? "Inputs" : "Outputs", x + width / 2, y + 16);
  context.font = "12px system-ui, sans-serif";
  context.textAlign = side.side === "input" ? "right" : "left";
  for (const { slot, at } of side.slots) {
    context.beginPath();
    context.arc(at[0], at[1], 5, 0, 2 * Math.PI);
    const color = slot ? themeColor(socketToken(slot.type)) : themeColor("--text-faint");
    context.fillStyle = color;
    context.strokeStyle = color;
    if (slot) context.fill();
    else context.stroke();
    context.fillStyle = themeColor(slot ? "--node-label" : "--text-faint");
    const label = slot ? (slot.label ?? slot.name) : "link to publish";
    context.fillText(label, at[0] + (side.side === "input" ? -12 : 12), at[1], width - 34);
  }
  context.textAlign = "left";
}
