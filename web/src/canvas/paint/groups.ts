import { themeColor } from "@/theme/theme";
import type { Box } from "@/graph/types";
import { overlaps } from "../boxes";
import { GROUP_CORNER, GROUP_TITLE } from "../hit";
import type { SceneGroup } from "../scene";
import type { Picture } from "./painter";

export function drawGroups(context: CanvasRenderingContext2D, picture: Picture, seen: Box): void {
  for (const group of picture.scene.groups) {
    if (overlaps(group.box, seen)) drawGroup(context, picture, group);
  }
}

function drawGroup(context: CanvasRenderingContext2D, picture: Picture, group: SceneGroup): void {
  const { x, y, width, height } = group.box;
  const color = group.record.color ?? themeColor("--node-waiting");
  const chosen = picture.selection.groups.has(group.record.id);
  context.globalAlpha = 0.13;
  context.fillStyle = color;
  roundRect(context, x, y, width, height, 8);
  context.fill();
  context.globalAlpha = 0.16;
  roundRect(context, x, y, width, Math.min(GROUP_TITLE, height), 8);
  context.fill();
  context.globalAlpha = chosen ? 1 : 0.55;
  context.strokeStyle = chosen ? themeColor("--node-selected") : color;
  context.lineWidth = Math.max(chosen ? 2 : 1, (chosen ? 1.5 : 0.75) / picture.view.zoom);
  roundRect(context, x, y, width, height, 8);
  context.stroke();
  context.beginPath();
  context.moveTo(x + width - 4, y + height - GROUP_CORNER + 4);
  context.lineTo(x + width - 4, y + height - 4);
  context.lineTo(x + width - GROUP_CORNER + 4, y + height - 4);
  context.stroke();
  context.globalAlpha = 1;
  drawTitle(context, picture, group);
}

function drawTitle(context: CanvasRenderingContext2D, picture: Picture, group: SceneGroup): void {
  const { x, y, width } = group.box;
  // A title that could be read only with a lens is drawn larger, as far as its group goes.
  const wanted = Math.min(group.record.fontSize ?? 15, 40);
  const size = Math.max(Math.min(wanted, 24), Math.min(11 / picture.view.zoom, width / 10, 80));
  context.save();
  context.beginPath();
  context.rect(x, y, width, group.box.height);
  context.clip();
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.fillStyle = themeColor("--node-text");
  context.globalAlpha = 0.86;
  context.textBaseline = "middle";
  context.fillText(`${group.record.pinned ? "📌 " : ""}${group.record.title}`, x + 10, y + Math.max(GROUP_TITLE, size * 1.2) / 2);
  context.restore();
}

export function roundRect(context: CanvasRenderingContext2D | Path2D, x: number, y: number, width: number, height: number, radius: number): void {
  if (!(context instanceof Path2D)) context.beginPath();
  context.roundRect(x, y, width, height, Math.max(0, Math.min(radius, width / 2, height / 2)));
}
