import type { Size } from "../boxes/boxes";

/** How large a picture of a camera is kept: a side of 0 follows from the other, and both of 0 are the camera's own. */
export function frameSize(camera: Size, width: number, height: number): Size {
  const scale = width > 0 ? width / camera.width : height > 0 ? height / camera.height : 1;
  return {
    width: width > 0 ? width : Math.max(1, Math.round(camera.width * scale)),
    height: height > 0 ? height : Math.max(1, Math.round(camera.height * scale)),
  };
}
