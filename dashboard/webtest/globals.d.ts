// What the classic scripts in index.html put into the page; uPlot's own declarations name its global.
/// <reference types="uplot" />
declare const StompJs: typeof import('@stomp/stompjs')
