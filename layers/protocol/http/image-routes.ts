import * as images from "./images.ts";
import * as keys from "./keys.ts";
import type { Route } from "./route.ts";

/** Routes of images and signing keys, by operation id. */
export const imageRoutes = {
  createImage: {
    method: "POST",
    path: "/v1/images",
    summary: "Announce an upload and get a presigned request for it",
    role: "member",
    status: 201,
    body: images.createImage,
    answer: images.createdImage,
  },
  listImages: {
    method: "GET",
    path: "/v1/images",
    summary: "Images of the project and shared ones",
    role: "reader",
    status: 200,
    query: images.imageQuery,
    answer: images.imageList,
  },
  getImage: {
    method: "GET",
    path: "/v1/images/{image}",
    summary: "One image",
    role: "reader",
    status: 200,
    answer: images.image,
  },
  retireImage: {
    method: "DELETE",
    path: "/v1/images/{image}",
    summary: "Retire an image: it is not programmed any more",
    role: "member",
    status: 200,
    answer: images.image,
  },
  signImage: {
    method: "POST",
    path: "/v1/images/{image}/signature",
    summary: "Give a signed manifest for an image",
    role: "member",
    status: 202,
    body: images.signImage,
    answer: images.image,
  },
  createKey: {
    method: "POST",
    path: "/v1/keys",
    summary: "Trust an Ed25519 public key",
    role: "admin",
    status: 201,
    body: keys.createKey,
    answer: keys.key,
  },
  listKeys: {
    method: "GET",
    path: "/v1/keys",
    summary: "Trusted and revoked keys",
    role: "reader",
    status: 200,
    query: keys.keyQuery,
    answer: keys.keyList,
  },
  getKey: {
    method: "GET",
    path: "/v1/keys/{key}",
    summary: "One key",
    role: "reader",
    status: 200,
    answer: keys.key,
  },
  revokeKey: {
    method: "POST",
    path: "/v1/keys/{key}/revoke",
    summary: "Revoke a key and every image it signed",
    role: "admin",
    status: 200,
    answer: keys.key,
  },
} as const satisfies Record<string, Route>;
