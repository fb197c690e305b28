/** scull over vmalloc and over single pages, with a file of 52 MB and three workers: `npm run example:scullv`. */
import { show } from "./show.ts";

const right = await show({ bytes: 52_000_003, workers: 3, say: (line) => console.log(line) });
if (!right) process.exitCode = 1;
