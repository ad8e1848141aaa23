package main

import (
	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"example.com/api/handlers"
)

func main() {
	r := gin.Default()
	api := r.Group("/api")
	v1 := api.Group("/v1")
	h := handlers.New(redis.NewClient(&redis.Options{PoolSize: 20}))
	v1.GET("/users/:id", h.User)
	v1.POST("/users", handlers.Create)
	r.Run()
}
